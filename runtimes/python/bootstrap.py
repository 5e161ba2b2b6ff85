"""What the interpreter is started with; see mayfly_runtime.py."""
import mayfly_runtime

if __name__ == "__main__":  # a child of multiprocessing imports this file under another name
    mayfly_runtime.main()
