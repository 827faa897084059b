from keras_resizable.models.resnet import ResNet20, ResNet50

__all__ = ["ResNet20", "ResNet50"]
