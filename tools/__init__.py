"""Programs about the project itself: they measure it and draw it; nothing of nearfar needs them."""
