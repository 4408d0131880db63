"""Data: the table of downloads, fetching and checking files, images, training patches, the LPIPS backbone."""
