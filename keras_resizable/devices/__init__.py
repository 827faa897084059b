"""Devices that `.tflite` files are measured on."""

from keras_resizable.devices.android import Android
from keras_resizable.devices.browser import Browser
from keras_resizable.devices.device import Device
from keras_resizable.devices.host import Host

__all__ = [
    "Android",
    "Browser",
    "Device",
    "Host",
]
