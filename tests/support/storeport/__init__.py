"""What every store must do, as tests. A store's test class inherits `StorePort` and provides `store` and `other`:
two stores on the same ground, as two processes have them.
"""

from support.storeport.creating import Creating, Deleting, Secrets
from support.storeport.models import Health, Models
from support.storeport.reading import Listing, Watching
from support.storeport.writing import Suspending, WritingStatus


class StorePort(Creating, Secrets, WritingStatus, Suspending, Deleting, Listing, Watching, Models, Health):
    """All of it."""
