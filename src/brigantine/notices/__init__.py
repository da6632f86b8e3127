"""What a person is told by the log: kinds, sentences, what a message that can't be read looks like."""
