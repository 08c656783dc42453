async def measure(figures, *, quick):
    pass
