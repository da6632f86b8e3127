from ...pure.structures.expiry import ExpiryQueue as ExpiryQueue
