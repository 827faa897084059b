from keras_resizable.devices.host import Host

__all__ = ["Host"]
