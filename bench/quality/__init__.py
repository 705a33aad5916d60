"""How well a voice survives Tandem, and the ways it is compared with, under loss."""
