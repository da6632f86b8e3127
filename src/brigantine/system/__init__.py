"""What is the operating system's: signals, threads, wake-up, forks, scheduling, CPU time of processes."""
