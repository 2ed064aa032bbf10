"""Physical constants as literals, each with where it comes from."""

KEV_TO_ERG = 1.602176634e-9  # exact since the 2019 SI
XSPEC_KEV_TO_ERG = 1.60219e-9  # the older value inside XSPEC's flux models (cflux, pegpwrlw)
HC_KEV_ANGSTROM = 12.39841974  # h c, as XSPEC uses it
