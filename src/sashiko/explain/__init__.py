"""The parts of the Explain step: which words, and which columns, move the model's score."""
