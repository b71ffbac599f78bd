"""Where recordings come from: a watched folder, raw PCM on a pipe, an input of this computer."""
