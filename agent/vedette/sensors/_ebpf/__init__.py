"""What the eBPF sensor is made of: the programs in C, their loader, and the ring's readers."""
