"""Recordings judged before anything is fitted: levels, ratios, dead or equal microphones."""
