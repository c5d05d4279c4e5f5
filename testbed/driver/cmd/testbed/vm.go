package main

import (
	"fmt"

	"tenantry.io/testbed/driver/internal/cluster"
)

// vm makes and removes VM stand-ins of a cluster.
func vm(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("usage: testbed vm up|down NAME VM: %w", errUsage)
	}
	verb := args[0]
	if verb != "up" && verb != "down" {
		return fmt.Errorf("no command \"vm %s\"; there are vm up, vm down: %w", verb, errUsage)
	}
	plain, err := parse(flags("vm "+verb), args[1:], 2, 2, "NAME VM")
	if err != nil {
		return err
	}
	c, err := cluster.Open(plain[0])
	if err != nil {
		return err
	}
	if verb == "down" {
		if err := c.VMDown(plain[1]); err != nil {
			return err
		}
		say("VM %s of cluster %s is gone", plain[1], plain[0])
		return nil
	}
	b, err := builder("")
	if err != nil {
		return err
	}
	tar, err := b.VM()
	if err != nil {
		return err
	}
	made, err := c.VMUp(plain[1], tar)
	if err != nil {
		return err
	}
	return printJSON(made)
}
