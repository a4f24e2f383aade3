"""The shared vocabulary: message, tool call, goal, plan, dialogue."""
