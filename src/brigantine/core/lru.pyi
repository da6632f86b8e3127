from ..pure.lru import LRUQueue as LRUQueue
