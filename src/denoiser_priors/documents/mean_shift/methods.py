"""What the document's methods are called in tables and figures, and which of them have the prior."""

LABELS = {
    "nb": "mean shift, noise known (NB)",
    "na": "mean shift, noise-adaptive (NA)",
    "ke": "mean shift, kernel-blind (KE)",
    "sr": "mean shift",
    "dm": "mean shift",
    "wiener": "Wiener",
    "richardson-lucy": "Richardson-Lucy",
    "tv": "total variation",
    "bicubic": "bicubic",
    "bilinear": "bilinear",
    "malvar": "Malvar (MATLAB's demosaic)",
    "menon": "Menon",
}
"""How methods are called in tables and figures."""

PRIORS = ("nb", "na", "ke", "sr", "dm")
"""Methods with the mean-shift prior."""
