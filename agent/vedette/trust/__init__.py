"""Keys, signatures and what may be accepted because of them."""
