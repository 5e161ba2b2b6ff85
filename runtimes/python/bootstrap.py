"""What the interpreter is started with; see mayfly_runtime.py."""
import mayfly_runtime

mayfly_runtime.main()
