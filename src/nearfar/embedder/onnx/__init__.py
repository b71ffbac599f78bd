"""An encoder as one ONNX file, run by onnxruntime: for machines without PyTorch.

audio → features of the encoder it was made of (NumPy) → session → one row a clip, or its grid
"""

from nearfar.embedder.onnx.embed import OnnxEncoder

__all__ = ["OnnxEncoder"]
