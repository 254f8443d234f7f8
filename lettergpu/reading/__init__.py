"""From a photo, a scan or a drawing to the 28x28 images that EMNIST would hold."""
