"""The machine: torch only. Every run is a row of one matrix."""
