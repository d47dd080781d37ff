"""Running a trained model without torch: loading, ONNX Runtime sessions, padding."""
