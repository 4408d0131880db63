"""What priors prefer (figure 1)."""
