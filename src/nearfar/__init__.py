"""nearfar hears when a machine starts to sound wrong, from one microphone near it and one far."""
