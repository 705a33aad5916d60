"""What the clients say and show."""

COUNT = "Please count slowly to twenty."
NAME = "Hello, my name is Anna."

PICTURE = "data:image/png;base64," + "iVBORw0KGgoAAAANSUhEUgAA" * 2_500
"""60,000 characters: what a snapshot of a camera weighs, in one message."""
