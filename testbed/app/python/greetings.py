GREETING = "hello from Python\n"
