"""What the daemon needs from the outside, as abstract classes with stated guarantees."""
