"""Physical constants as literals, each with where it comes from."""

XSPEC_KEV_TO_ERG = (
    1.60219e-9  # erg per keV as inside XSPEC's flux models (the 2019 SI: 1.602177e-9)
)
