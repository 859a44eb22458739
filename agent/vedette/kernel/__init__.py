"""What sensors, responses and slots ask of the system; no decision is made here."""
