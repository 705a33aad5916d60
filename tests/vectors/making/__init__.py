"""How each file of vectors is made, from fixed inputs and the code under test."""
