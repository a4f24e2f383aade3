"""The four agents that play a dialogue: planner, user, assistant and tool simulator."""
