"""The vocabulary: slotted, typed values without behaviour."""
