module tenantry.io/testbed/driver

go 1.24
