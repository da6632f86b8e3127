from ..pure.expiry import ExpiryQueue as ExpiryQueue
