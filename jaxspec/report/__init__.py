"""Tables, text and figures for people; matplotlib is used here alone."""

from jaxspec.report import plot as plot
