"""The codecs that both services speak: voice to PCM of 24 kHz and back."""
