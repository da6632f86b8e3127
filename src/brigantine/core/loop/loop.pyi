from ...pure.loop.loop import Loop as Loop
