from ..pure.loop import Loop as Loop
