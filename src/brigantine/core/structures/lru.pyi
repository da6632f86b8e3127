from ...pure.structures.lru import LRUQueue as LRUQueue
