"""What survives a power cut: the journal, the baseline and small durable values."""
