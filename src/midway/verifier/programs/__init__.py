"""Is a program right? Finding it in what a model wrote, a sandbox to run it in, and the tests that call it."""
