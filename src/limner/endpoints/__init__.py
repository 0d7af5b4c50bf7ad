"""WHAT is served: one folder per model. A third endpoint is one folder and one line below.

Knows every endpoint's schema; imports no engine (engines are named, and opened in a worker).
"""

from limner.endpoints.base import Endpoint
from limner.endpoints.face_to_sticker.schema import FACE_TO_STICKER
from limner.endpoints.ip_adapter_face_id.schema import IP_ADAPTER_FACE_ID

ENDPOINTS: tuple[Endpoint, ...] = (FACE_TO_STICKER, IP_ADAPTER_FACE_ID)
