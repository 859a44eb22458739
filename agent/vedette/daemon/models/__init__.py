"""Models on the device: tested, put into use, watched, rolled back."""
