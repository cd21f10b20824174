"""What stands in the environment of each peer; all of it exact."""

# TensorFlow and Flax left transformers with version 5, which has PyTorch only.
PEERS = {
    "transformers5": (
        "torch==2.13.0",
        "transformers==5.23.0",
        "onnx==1.23.2",
        "onnxruntime==1.31.1",
    ),
    "transformers4": (
        "torch==2.13.0",
        "transformers==4.57.6",
        "tensorflow==2.19.1",
        "tf-keras==2.19.0",
        "flax==0.10.7",
        "jax==0.6.2",
    ),
    "keras-hub": (
        "keras-hub==0.32.0",
        "keras==3.15.1",
        "tensorflow==2.21.0",
        "jax==0.10.2",
    ),
}
