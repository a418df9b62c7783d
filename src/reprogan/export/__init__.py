"""What others need of trained networks: generators as ONNX, what an image costs, where attention looks."""
