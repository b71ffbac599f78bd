"""A detector for a small computer: its encoders as ONNX, all else as it was, and a proof of it."""
