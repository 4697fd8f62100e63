"""The shared kernel: resource types, the life of a task, storage, guarded HTTP, settings.

No kopf, fastapi, ray, torch or cv2 is imported here, so every process of Velum can stand on it.
"""
