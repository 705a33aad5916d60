"""Rule-based replies in English: pure functions from what was said to what to say."""
